// group_evidence, group_features and group_mixture_nll, each also for binary data, as registered operators for the
// engine of any device. The schemas are in schema.cpp.
#pragma once

#include "formulas/group_evidence.h"
#include "formulas/group_mixture.h"
#include "operators/grouping_problem.h"

namespace fastladder {

// Calls run(problem, type) with a problem in the type that it is computed in, and a null pointer of the tensors' type.
template <class Engine, class Run>
auto with_grouping_problem(GroupingArguments& arguments, Run run) {
  return dispatch<Engine>(arguments.mean, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for (Tensor* tensor : {&arguments.data, &arguments.mean, &arguments.mask}) widen<Engine, T>(*tensor);
    return run(make_grouping_problem<Computed<Engine, T>>(arguments), type);
  });
}

template <class Engine, class Formula>
std::tuple<Tensor, Tensor> group_outputs(GroupingArguments arguments) {
  return with_grouping_problem<Engine>(arguments, [&](auto problem, auto* type) -> std::tuple<Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    const Tensor& mean = arguments.mean;
    Tensor outputs[] = {
        empty(mean, sizes_of(mean), mean.scalar_type()), empty(mean, sizes_of(mean), mean.scalar_type())};
    for (int o : {0, 1}) problem.outputs[o] = whole<Computed<Engine, T>>(outputs[o], problem.pixels);
    if (mean.numel() > 0) Engine::template run<Formula, false>(mean, problem);
    for (Tensor& output : outputs) narrow<Engine, T>(output);
    return {outputs[0], outputs[1]};
  });
}

template <class Engine, class Formula>
Tensor group_channels(GroupingArguments arguments) {
  return with_grouping_problem<Engine>(arguments, [&](auto problem, auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Tensor& mean = arguments.mean;
    Tensor features = empty(mean, feature_sizes(mean), mean.scalar_type());
    for (int o : {0, 1}) {
      problem.copies[o] = channel_of<Computed<Engine, T>>(features, o, problem.pixels);
      problem.outputs[o] = channel_of<Computed<Engine, T>>(features, 2 + o, problem.pixels);
    }
    if (mean.numel() > 0) Engine::template run<Formula, false>(mean, problem);
    narrow<Engine, T>(features);
    return features;
  });
}

template <class Engine, class Formula>
std::tuple<Tensor, Tensor> group_sums(GroupingArguments arguments) {
  return with_grouping_problem<Engine>(arguments, [&](auto problem, auto* type) -> std::tuple<Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    const Tensor& mean = arguments.mean;
    Tensor sums = empty(mean, {problem.batch}, compute_dtype<T>);
    Tensor mask = empty(mean, sizes_of(mean), mean.scalar_type());
    problem.sums = data_of<Compute<T>>(sums);
    problem.outputs[0] = whole<Computed<Engine, T>>(mask, problem.pixels);
    if (mean.numel() > 0)
      Engine::template run<Formula, false>(mean, problem);
    else
      torch::stable::zero_(sums);
    narrow<Engine, T>(mask);
    return {sums, mask};
  });
}

template <class Engine, class Formula>
GroupingGradients group_gradients(GroupingCotangents cotangents, GroupingArguments arguments) {
  return with_grouping_problem<Engine>(arguments, [&](auto problem, auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Tensor& mean = arguments.mean;
    for (OptionalTensor* given : {&cotangents.outputs[0], &cotangents.outputs[1], &cotangents.features})
      if (*given) widen<Engine, T>(**given);
    set_cotangents(problem, cotangents, mean);
    const auto like = [&](const Tensor& tensor) { return empty(mean, sizes_of(tensor), mean.scalar_type()); };
    GroupingGradients gradients{like(arguments.data), like(mean), like(mean), empty(mean, {}, compute_dtype<T>)};
    problem.grad_data = data_of<Computed<Engine, T>>(gradients.data);
    problem.outputs[0] = whole<Computed<Engine, T>>(gradients.mean, problem.pixels);
    problem.outputs[1] = whole<Computed<Engine, T>>(gradients.mask, problem.pixels);
    if (problem.variance) problem.sums = data_of<Compute<T>>(gradients.variance);
    if (mean.numel() > 0)
      Engine::template run<Formula, true>(mean, problem);
    else
      torch::stable::zero_(gradients.variance);
    for (Tensor* gradient : {&gradients.data, &gradients.mean, &gradients.mask}) narrow<Engine, T>(*gradient);
    return gradients;
  });
}

template <class Run>
auto with_delta(const std::string& name, Run run) {
  if (name == "residual") return run(GaussianEvidence<Delta::residual>());
  if (name == "weighted") return run(GaussianEvidence<Delta::weighted>());
  STD_TORCH_CHECK(name == "gradient", "delta: got '", name, "', needs 'residual', 'weighted' or 'gradient'");
  return run(GaussianEvidence<Delta::gradient>());
}

using GaussianTensors = std::tuple<Tensor, Tensor, Tensor, Tensor>;
using BernoulliTensors = std::tuple<Tensor, Tensor, Tensor>;

inline GaussianTensors with_variance(const GroupingGradients& gradients) {
  return {gradients.data, gradients.mean, gradients.mask, gradients.variance};
}
inline BernoulliTensors without_variance(const GroupingGradients& gradients) {
  return {gradients.data, gradients.mean, gradients.mask};
}

template <class Engine>
std::tuple<Tensor, Tensor> group_evidence(
    Tensor noisy,              // (N, *D)
    Tensor mean, Tensor mask,  // (N, K, *D)
    Tensor variance,           // 0-dim
    std::string delta) {
  return with_delta(
      delta, [&](auto formula) { return group_outputs<Engine, decltype(formula)>({noisy, mean, mask, variance}); });
}

template <class Engine>
GaussianTensors group_evidence_backward(
    OptionalTensor grad_delta, OptionalTensor grad_likelihood,  // (N, K, *D)
    Tensor noisy, Tensor mean, Tensor mask, Tensor variance, std::string delta) {
  return with_delta(delta, [&](auto formula) {
    return with_variance(
        group_gradients<Engine, decltype(formula)>(
            {{grad_delta, grad_likelihood}, {}, {}}, {noisy, mean, mask, variance}));
  });
}

template <class Engine>
std::tuple<Tensor, Tensor> group_evidence_bernoulli(
    Tensor noisy,                     // (N, *D)
    Tensor probability, Tensor mask,  // (N, K, *D)
    double flip_probability) {
  return group_outputs<Engine, BernoulliEvidence>({noisy, probability, mask, {}, flip_probability});
}

template <class Engine>
BernoulliTensors group_evidence_bernoulli_backward(
    OptionalTensor grad_delta, OptionalTensor grad_likelihood,  // (N, K, *D)
    Tensor noisy, Tensor probability, Tensor mask, double flip_probability) {
  return without_variance(
      group_gradients<Engine, BernoulliEvidence>(
          {{grad_delta, grad_likelihood}, {}, {}}, {noisy, probability, mask, {}, flip_probability}));
}

template <class Engine>
Tensor group_features(
    Tensor noisy,              // (N, *D)
    Tensor mean, Tensor mask,  // (N, K, *D)
    Tensor variance,           // 0-dim
    std::string delta) {
  return with_delta(
      delta, [&](auto formula) { return group_channels<Engine, decltype(formula)>({noisy, mean, mask, variance}); });
}

template <class Engine>
GaussianTensors group_features_backward(
    OptionalTensor grad_features,  // (N, K, 4, *D)
    Tensor noisy, Tensor mean, Tensor mask, Tensor variance, std::string delta) {
  return with_delta(delta, [&](auto formula) {
    return with_variance(
        group_gradients<Engine, decltype(formula)>({{}, grad_features, {}}, {noisy, mean, mask, variance}));
  });
}

template <class Engine>
Tensor group_features_bernoulli(
    Tensor noisy,                     // (N, *D)
    Tensor probability, Tensor mask,  // (N, K, *D)
    double flip_probability) {
  return group_channels<Engine, BernoulliEvidence>({noisy, probability, mask, {}, flip_probability});
}

template <class Engine>
BernoulliTensors group_features_bernoulli_backward(
    OptionalTensor grad_features,  // (N, K, 4, *D)
    Tensor noisy, Tensor probability, Tensor mask, double flip_probability) {
  return without_variance(
      group_gradients<Engine, BernoulliEvidence>(
          {{}, grad_features, {}}, {noisy, probability, mask, {}, flip_probability}));
}

template <class Engine>
std::tuple<Tensor, Tensor> group_mixture_nll(
    Tensor target,                    // (N, *D)
    Tensor mean, Tensor mask_logits,  // (N, K, *D)
    Tensor variance) {                // 0-dim
  return group_sums<Engine, GaussianMixture>({target, mean, mask_logits, variance});
}

template <class Engine>
GaussianTensors group_mixture_nll_backward(
    OptionalTensor grad_nll,   // (N)
    OptionalTensor grad_mask,  // (N, K, *D)
    Tensor target, Tensor mean, Tensor mask_logits, Tensor variance) {
  return with_variance(
      group_gradients<Engine, GaussianMixture>({{grad_mask}, {}, grad_nll}, {target, mean, mask_logits, variance}));
}

template <class Engine>
std::tuple<Tensor, Tensor> group_mixture_nll_bernoulli(
    Tensor target,                        // (N, *D)
    Tensor logits, Tensor mask_logits) {  // (N, K, *D)
  return group_sums<Engine, BernoulliMixture>({target, logits, mask_logits});
}

template <class Engine>
BernoulliTensors group_mixture_nll_bernoulli_backward(
    OptionalTensor grad_nll,   // (N)
    OptionalTensor grad_mask,  // (N, K, *D)
    Tensor target, Tensor logits, Tensor mask_logits) {
  return without_variance(
      group_gradients<Engine, BernoulliMixture>({{grad_mask}, {}, grad_nll}, {target, logits, mask_logits}));
}

template <class Engine, class Library>
void implement_grouping(Library& library) {
  library.impl("group_evidence", TORCH_BOX(&group_evidence<Engine>));
  library.impl("group_evidence_backward", TORCH_BOX(&group_evidence_backward<Engine>));
  library.impl("group_evidence_bernoulli", TORCH_BOX(&group_evidence_bernoulli<Engine>));
  library.impl("group_evidence_bernoulli_backward", TORCH_BOX(&group_evidence_bernoulli_backward<Engine>));
  library.impl("group_features", TORCH_BOX(&group_features<Engine>));
  library.impl("group_features_backward", TORCH_BOX(&group_features_backward<Engine>));
  library.impl("group_features_bernoulli", TORCH_BOX(&group_features_bernoulli<Engine>));
  library.impl("group_features_bernoulli_backward", TORCH_BOX(&group_features_bernoulli_backward<Engine>));
  library.impl("group_mixture_nll", TORCH_BOX(&group_mixture_nll<Engine>));
  library.impl("group_mixture_nll_backward", TORCH_BOX(&group_mixture_nll_backward<Engine>));
  library.impl("group_mixture_nll_bernoulli", TORCH_BOX(&group_mixture_nll_bernoulli<Engine>));
  library.impl("group_mixture_nll_bernoulli_backward", TORCH_BOX(&group_mixture_nll_bernoulli_backward<Engine>));
}

}  // namespace fastladder
