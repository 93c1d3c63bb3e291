// The kernels that do most of the work, for test_cuda_build.py to look at: what the compiler makes of them for each GPU.
#include "cuda/backward.cuh"
#include "formulas/gated_combine.h"
#include "formulas/lstm_gates.h"

namespace fastladder {

template __global__ void forward_kernel<LstmGates, 3, 4, false>(const __grid_constant__ ForwardCall<LstmGates, float>);
template __global__ void backward_kernel<LstmGates, 3, 4, false>(const __grid_constant__ BackwardCall<LstmGates, float>);
template __global__ void forward_kernel<LstmGates, 3, 8, true>(const __grid_constant__ ForwardCall<LstmGates, BFloat16>);
template __global__ void backward_kernel<LstmGates, 3, 4, true>(const __grid_constant__ BackwardCall<LstmGates, BFloat16>);
template __global__ void backward_kernel<CombineG2, 2, 2, true>(const __grid_constant__ BackwardCall<CombineG2, float>);
template __global__ void backward_kernel<CombineG1<true>, 1, 4, true>(const __grid_constant__ BackwardCall<CombineG1<true>, Half>);
template __global__ void segment_moments_kernel<8>(const __grid_constant__ MomentsCall<BFloat16>);
template __global__ void column_moments_kernel<4>(const __grid_constant__ MomentsCall<float>);

}  // namespace fastladder
