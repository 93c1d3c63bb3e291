// The kernels that do most of the work: test_cuda_build.py compiles them and inspects the code for each GPU.
#include "cuda/channel_gradients.cuh"
#include "cuda/column_statistics.cuh"
#include "cuda/gaussian_rows.cuh"
#include "cuda/gaussian_sequences.cuh"
#include "cuda/grouping_kernel.cuh"
#include "cuda/moments_kernel.cuh"
#include "cuda/norm_sums.cuh"
#include "cuda/pixel_gradients.cuh"
#include "cuda/preactivation_forward.cuh"
#include "formulas/gated_combine.h"
#include "formulas/group_evidence.h"
#include "formulas/group_mixture.h"
#include "formulas/lstm_gates.h"

namespace fastladder {

template __global__ void forward_kernel<LstmGates, 3, 4, false>(const __grid_constant__ ForwardCall<LstmGates, float>);
template __global__ void norm_sums_kernel<LstmGates, 3, 4, false>(const __grid_constant__ NormSumsCall<LstmGates, float>);
template __global__ void pixel_gradients_kernel<LstmGates, 3, 4>(const __grid_constant__ PixelGradientsCall<LstmGates, float>);
template __global__ void forward_kernel<LstmGates, 3, 8, true>(const __grid_constant__ ForwardCall<LstmGates, BFloat16>);
template __global__ void norm_sums_kernel<LstmGates, 3, 4, true>(const __grid_constant__ NormSumsCall<LstmGates, BFloat16>);
template __global__ void channel_gradients_kernel<LstmGates, 3, 4>(const __grid_constant__ ChannelGradientsCall<LstmGates, BFloat16>);
template __global__ void forward_kernel<WideStates<LstmGates>, 3, 8, true>(const __grid_constant__ ForwardCall<WideStates<LstmGates>, BFloat16>);
template __global__ void norm_sums_kernel<WideStates<LstmGates>, 3, 4, true>(const __grid_constant__ NormSumsCall<WideStates<LstmGates>, BFloat16>);
template __global__ void channel_gradients_kernel<WideStates<LstmGates>, 3, 4>(const __grid_constant__ ChannelGradientsCall<WideStates<LstmGates>, BFloat16>);
template __global__ void norm_sums_kernel<WideStates<LstmGates>, 1, 8, false>(const __grid_constant__ NormSumsCall<WideStates<LstmGates>, Half>);
template __global__ void pixel_gradients_kernel<WideStates<LstmGates>, 1, 8>(const __grid_constant__ PixelGradientsCall<WideStates<LstmGates>, Half>);
template __global__ void norm_sums_kernel<CombineG2, 2, 2, true>(const __grid_constant__ NormSumsCall<CombineG2, float>);
template __global__ void channel_gradients_kernel<CombineG2, 2, 2>(const __grid_constant__ ChannelGradientsCall<CombineG2, float>);
template __global__ void norm_sums_kernel<CombineG1<true>, 1, 4, true>(const __grid_constant__ NormSumsCall<CombineG1<true>, Half>);
template __global__ void channel_gradients_kernel<CombineG1<true>, 1, 4>(const __grid_constant__ ChannelGradientsCall<CombineG1<true>, Half>);
template __global__ void segment_moments_kernel<8>(const __grid_constant__ StatisticsCall<BFloat16>);
template __global__ void column_moments_kernel<4>(const __grid_constant__ StatisticsCall<float>);

template __global__ void group_kernel<GaussianEvidence<Delta::gradient>, false, 4, 4>(const __grid_constant__ GroupCall<float>);
template __global__ void group_kernel<GaussianEvidence<Delta::gradient>, true, 4, 4>(const __grid_constant__ GroupCall<float>);
template __global__ void group_kernel<GaussianEvidence<Delta::gradient>, true, 4, 8>(const __grid_constant__ GroupCall<BFloat16>);
template __global__ void group_kernel<GaussianEvidence<Delta::gradient>, true, 0, 1>(const __grid_constant__ GroupCall<float>);
template __global__ void group_kernel<GaussianMixture, true, 4, 4>(const __grid_constant__ GroupCall<float>);
template __global__ void group_kernel<BernoulliMixture, true, 4, 8>(const __grid_constant__ GroupCall<BFloat16>);
template __global__ void group_kernel<BernoulliMixture, true, 8, 2>(const __grid_constant__ GroupCall<float>);
template __global__ void group_kernel<BernoulliMixture, false, 4, 8>(const __grid_constant__ GroupCall<Half>);

template __global__ void gaussian_elements_kernel<GaussianMerge, false, 8>(const __grid_constant__ GaussianProblem<Half>);
template __global__ void gaussian_elements_kernel<GaussianKl, true, 4>(const __grid_constant__ GaussianProblem<float>);
template __global__ void gaussian_rows_kernel<MergeSampleKl, 4>(const __grid_constant__ GaussianRowsCall<float>);
template __global__ void gaussian_elements_kernel<MergeSampleKl, true, 8>(const __grid_constant__ GaussianProblem<BFloat16>);

template __global__ void sequence_sum_kernel<WienerKl<true>, 4>(const __grid_constant__ SequenceSumCall<float>);
template __global__ void sequence_gradient_kernel<WienerKl<true>, 8>(const __grid_constant__ SequenceProblem<BFloat16>);
template __global__ void sequence_gradient_kernel<WienerKl<false>, 8>(const __grid_constant__ SequenceProblem<Half>);

template __global__ void moments_kernel<TanhMoments, true, 4>(const __grid_constant__ MomentsProblem<float>);
template __global__ void moments_kernel<ReluMoments, true, 8>(const __grid_constant__ MomentsProblem<BFloat16>);
template __global__ void moments_kernel<SigmoidMoments, false, 8>(const __grid_constant__ MomentsProblem<Half>);
template __global__ void moments_kernel<UnchangedMoments, true, 4>(const __grid_constant__ MomentsProblem<float>);

}  // namespace fastladder
