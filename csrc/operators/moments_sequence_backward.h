// The backward pass of a recurrent layer with fast dropout over a whole sequence (moments_sequence.h): the moments of
// all steps from the last to the first, each followed by the products that take the gradients to the hidden units
// before it.
#pragma once

#include "operators/moments_sequence.h"

namespace fastladder {

// The gradients of the results that have one, where they are used.
struct MomentsSequenceCotangents {
  OptionalTensor means, variances;         // (T, N, C)
  OptionalTensor hidden_mean, hidden_var;  // (N, C)
};

struct MomentsSequenceGradients {
  Tensor mean, var;                // (T, N, C)
  Tensor hidden_mean, hidden_var;  // (N, C)
  Tensor weight, weight_of_var;    // (C, C)
  Tensor rate;                     // (C)
};

template <class Engine, class Formula, class T>
MomentsSequenceGradients compute_moments_sequence_gradients(
    const MomentsSequenceCotangents& cotangents, const MomentsSequenceArguments& given,
    const MomentsSequenceResults& kept) {
  using Real = Compute<T>;
  const MomentsSequence<T> sequence(given);
  const MomentsSequenceArguments& arguments = sequence.arguments;
  const Tensor& leader = arguments.mean;
  const int64_t duration = sequence.duration, batch = sequence.batch, channels = sequence.channels;
  const ScalarType dtype = sequence.dtype;
  const auto check = [&](const char* name, const Tensor& tensor) {
    return check_kept(name, tensor, duration * batch * channels, dtype);
  };
  const Tensor means = check("means", kept.means), spreads = check("spreads", kept.spreads);
  const Tensor preactivation_mean = check("preactivation_mean", kept.preactivation_mean);
  const Tensor preactivation_var = check("preactivation_var", kept.preactivation_var);

  // The gradients of the hidden units after every step, and before the first one, as far as they are known. Those of
  // the means are complete but for what comes through the spread, which the engine adds.
  const auto filled_states = [&](const OptionalTensor& of_steps, const OptionalTensor& of_last) {
    std::pair<Tensor, Tensor> states{
        filled(leader, of_steps, {duration, batch, channels}, dtype),
        filled(leader, std::nullopt, {batch, channels}, dtype)};
    if (of_last) add_last_gradients(sequence, *of_last, states.first, states.second);
    return states;
  };
  const auto [grad_means, grad_initial_mean] = filled_states(cotangents.means, cotangents.hidden_mean);
  const auto [grad_variances, grad_initial_var] = filled_states(cotangents.variances, cotangents.hidden_var);
  const Tensor grad_spread = filled(leader, std::nullopt, {batch, channels}, dtype);
  const Tensor grad_rates = filled(leader, std::nullopt, {batch, channels}, compute_dtype<T>);
  MomentsSequenceGradients gradients{
      sequence.of_steps(duration),
      sequence.of_steps(duration),
      sequence.of_states(),
      sequence.of_states(),
      filled(leader, std::nullopt, {channels, channels}, dtype),
      filled(leader, std::nullopt, {channels, channels}, dtype),
      {}};
  const auto problem_of = [&](int64_t count) {
    MomentsProblem<T> problem = sequence.problem(count);
    problem.gradient_spread = data_of<const T>(grad_spread);
    problem.gradient_rate = data_of<Real>(grad_rates);
    return problem;
  };
  for (int64_t step = duration - 1; step >= 0; --step) {
    const int64_t count = sequence.samples[step], at = sequence.at(step, channels);
    if (count * channels == 0) continue;
    MomentsProblem<T> problem = problem_of(count);
    problem.mean = data_of<const T>(preactivation_mean) + at;
    problem.variance = data_of<const T>(preactivation_var) + at;
    problem.output_mean = data_of<const T>(means) + at;
    problem.gradient_mean = data_of<const T>(grad_means) + at;
    problem.gradient_variance = data_of<const T>(grad_variances) + at;
    problem.out_mean = data_of<T>(gradients.mean) + at, problem.out_variance = data_of<T>(gradients.var) + at;
    Engine::template run<Formula, true>(leader, problem);
    Engine::template product<T>(
        sequence.before(grad_initial_mean, grad_means, step, count), sequence.rows(gradients.mean, step, count),
        arguments.weight, true);
    Engine::template product<T>(
        rows_of(grad_spread, 0, count), sequence.rows(gradients.var, step, count), arguments.weight_of_var, false);
  }
  if (sequence.has_states()) {
    MomentsProblem<T> problem = problem_of(batch);
    problem.mean = problem.output_mean = data_of<const T>(arguments.hidden_mean);
    problem.variance = data_of<const T>(arguments.hidden_var);
    problem.gradient_mean = data_of<const T>(grad_initial_mean);
    problem.gradient_variance = data_of<const T>(grad_initial_var);
    problem.out_mean = data_of<T>(gradients.hidden_mean), problem.out_variance = data_of<T>(gradients.hidden_var);
    Engine::template run<UnchangedMoments, true>(leader, problem);
  }
  if (leader.numel() > 0) {
    write_weight_gradient<Engine, T>(sequence, arguments.hidden_mean, means, gradients.mean, gradients.weight);
    const int64_t all = duration * batch;
    Engine::template product<T>(
        gradients.weight_of_var, transposed(rows_of(gradients.var, 0, all)), rows_of(spreads, 0, all), false);
  }
  gradients.rate = sum_over_first(grad_rates);
  return gradients;
}

template <class Engine, class Formula, class T>
MomentsSequenceGradients moments_sequence_gradients(
    MomentsSequenceCotangents cotangents, MomentsSequenceArguments arguments, MomentsSequenceResults kept) {
  widen<Engine, T>(arguments);
  for (OptionalTensor* tensor :
       {&cotangents.means, &cotangents.variances, &cotangents.hidden_mean, &cotangents.hidden_var})
    if (*tensor) widen<Engine, T>(**tensor);
  for (Tensor* tensor : {&kept.means, &kept.preactivation_mean, &kept.preactivation_var, &kept.spreads})
    widen<Engine, T>(*tensor);
  MomentsSequenceGradients gradients =
      compute_moments_sequence_gradients<Engine, Formula, Computed<Engine, T>>(cotangents, arguments, kept);
  for (Tensor* tensor :
       {&gradients.mean, &gradients.var, &gradients.hidden_mean, &gradients.hidden_var, &gradients.weight,
        &gradients.weight_of_var})
    narrow<Engine, T>(*tensor);
  return gradients;
}

}  // namespace fastladder
