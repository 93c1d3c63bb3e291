// The CUDA kernels for tensors of the CPU: emulated.py compiles this with a C++ compiler and the cuda_runtime.h beside
// it, so that the launches and the kernels run unchanged without a GPU.
#define QUOTE(text) #text
#define HEADER(family) QUOTE(operators/family.h)
#define CUDA_HEADER(name) QUOTE(cuda/name.cuh)
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>
#include HEADER(FAMILY)
#include CUDA_HEADER(ENGINE_HEADER)

#define JOIN(a, b) a##b
#define IMPLEMENT(family) JOIN(implement_, family)

STABLE_TORCH_LIBRARY_IMPL(fastladder_emulated, CPU, library) {
  fastladder::IMPLEMENT(FAMILY)<fastladder::ENGINE>(library);
}

// The functions of a torch with CUDA that the kernels call.
extern "C" {
AOTITorchError aoti_torch_create_device_guard(int32_t, DeviceGuardHandle* guard) {
  *guard = nullptr;
  return AOTI_TORCH_SUCCESS;
}
AOTITorchError aoti_torch_delete_device_guard(DeviceGuardHandle) { return AOTI_TORCH_SUCCESS; }
AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return AOTI_TORCH_SUCCESS;
}
AOTITorchError torch_c10_cuda_check_msg(int32_t, const char*, const char*, uint32_t, bool, char** message) {
  *message = nullptr;
  return AOTI_TORCH_SUCCESS;
}
void torch_c10_cuda_free_error_msg(char*) {}
AOTITorchError aoti_torch_cuda_mm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b) {
  return aoti_torch_cpu_mm_out(out, a, b);
}
AOTITorchError aoti_torch_cuda_addmm_out(
    AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle a, AtenTensorHandle b, double beta, double alpha) {
  return aoti_torch_cpu_addmm_out(out, self, a, b, beta, alpha);
}
}

// Between these, the accesses and launches are recorded.
extern "C" __attribute__((visibility("default"))) void start_trace() {
  emulation::trace.launches = 0;
  emulation::trace.accesses.clear();
  emulation::trace.on = true;
}
extern "C" __attribute__((visibility("default"))) int stop_trace(const emulation::Access** accesses, int64_t* count) {
  emulation::trace.on = false;
  *accesses = emulation::trace.accesses.data();
  *count = emulation::trace.accesses.size();
  return emulation::trace.launches;
}
