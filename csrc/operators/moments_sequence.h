// A recurrent layer with fast dropout over a whole sequence: step t takes the moments of a nonlinearity for the mean
// and the variance of the input's projection, to which those of the hidden units' projection are added,
//
//   mean[t] + m weight^T,   var[t] + s weight_of_var^T,   s = v + rate m^2,
//
// with m and v of step t - 1. The products add to copies of `mean` and `var`, so that these become the preactivations,
// which a backward pass takes; each step writes the spread s of its output, which the next one's product takes. The
// loop over time is the same for every device. An Engine has what moments_problem.h says.
#pragma once

#include "operators/moments_problem.h"
#include "operators/sequences.h"

namespace fastladder {

struct MomentsSequenceArguments {
  Tensor mean, var;                // (T, N, C)
  Tensor hidden_mean, hidden_var;  // (N, C)
  Tensor weight, weight_of_var;    // (C, C)
  Tensor rate;                     // (C)
  OptionalTensor lengths;          // (N), from T down to 0
  bool keeps;                      // whether a backward pass may follow
};

struct MomentsSequenceResults {
  Tensor means, variances;                       // (T, N, C)
  Tensor hidden_mean, hidden_var;                // (N, C)
  Tensor preactivation_mean, preactivation_var;  // (T, N, C), or empty where no backward pass follows
  Tensor spreads;                                // likewise, of the hidden units before each step
};

// Calls run(formula, pointer) with the Formula of a nonlinearity and a null pointer of the activations' type.
template <class Engine, class Run>
auto dispatch_nonlinearity(const Tensor& leader, const std::string& nonlinearity, Run run) {
  return dispatch<Engine>(leader, [&](auto* type) {
    if (nonlinearity == "tanh") return run(TanhMoments(), type);
    if (nonlinearity == "sigmoid") return run(SigmoidMoments(), type);
    STD_TORCH_CHECK(
        nonlinearity == "relu", "nonlinearity: got '", nonlinearity, "', needs 'tanh', 'sigmoid' or 'relu'");
    return run(ReluMoments(), type);
  });
}

// What the passes over a sequence share: its sizes and its checked arguments.
template <class T>
struct MomentsSequence : Steps {
  using Real = Compute<T>;

  MomentsSequenceArguments arguments;
  int64_t channels;
  ScalarType dtype;
  Tensor rates;  // (N, C), so that they lie as the states do

  explicit MomentsSequence(const MomentsSequenceArguments& given) : arguments(given) {
    Tensor& mean = arguments.mean;
    STD_TORCH_CHECK(mean.dim() == 3, "mean: needs an activation of shape (T, N, C)");
    duration = mean.size(0), batch = mean.size(1), channels = mean.size(2), dtype = mean.scalar_type();
    const auto check = [&](const char* name, Tensor& tensor, const std::vector<int64_t>& sizes) {
      STD_TORCH_CHECK(tensor.device() == mean.device(), name, ": needs the device of the mean");
      STD_TORCH_CHECK(sizes_of(tensor) == sizes, name, ": its shape does not go with that of the mean");
      STD_TORCH_CHECK(
          tensor.scalar_type() == dtype, name, ": got dtype ", toString(tensor.scalar_type()), ", needs ",
          toString(dtype));
      tensor = make_contiguous(tensor);
    };
    check("mean", mean, sizes_of(mean));
    check("var", arguments.var, sizes_of(mean));
    check("hidden_mean", arguments.hidden_mean, {batch, channels});
    check("hidden_var", arguments.hidden_var, {batch, channels});
    check("weight", arguments.weight, {channels, channels});
    check("weight_of_var", arguments.weight_of_var, {channels, channels});
    STD_TORCH_CHECK(arguments.rate.device() == mean.device(), "rate: needs the device of the mean");
    rates = filled(
        mean, check_parameter("rate", arguments.rate, channels, compute_dtype<T>), {batch, channels}, compute_dtype<T>);
    samples = samples_of_steps(duration, batch, arguments.lengths);
  }

  bool has_states() const { return batch * channels > 0; }

  // A new tensor (T, N, C) for that many steps, zero where samples have different lengths.
  Tensor of_steps(int64_t steps) const {
    const std::vector<int64_t> sizes{steps, batch, channels};
    return arguments.lengths ? filled(rates, std::nullopt, sizes, dtype) : empty(rates, sizes, dtype);
  }
  Tensor of_states() const { return empty(rates, {batch, channels}, dtype); }

  // A step with its first `count` samples, without its data.
  MomentsProblem<T> problem(int64_t count) const {
    MomentsProblem<T> problem{};
    problem.elements = count * channels;
    problem.rate = data_of<const Real>(rates);
    return problem;
  }
};

template <class Engine, class Formula, class T>
MomentsSequenceResults compute_moments_sequence(const MomentsSequenceArguments& given) {
  const MomentsSequence<T> sequence(given);
  const MomentsSequenceArguments& arguments = sequence.arguments;
  const int64_t duration = sequence.duration, batch = sequence.batch, channels = sequence.channels;
  // Without a backward pass, all steps take the place of one.
  const int64_t places = arguments.keeps ? duration : 1;
  const auto place_of = [&](int64_t step) { return arguments.keeps ? step : 0; };
  MomentsSequenceResults results{sequence.of_steps(duration), sequence.of_steps(duration), sequence.of_states(),
                                 sequence.of_states(),        sequence.of_steps(places),   sequence.of_steps(places),
                                 sequence.of_steps(places)};
  const auto spread_before = [&](int64_t step) {
    return step < duration ? data_of<T>(results.spreads) + sequence.at(place_of(step), channels) : nullptr;
  };
  if (sequence.has_states()) {
    MomentsProblem<T> problem = sequence.problem(batch);
    problem.mean = data_of<const T>(arguments.hidden_mean), problem.variance = data_of<const T>(arguments.hidden_var);
    problem.out_mean = data_of<T>(results.hidden_mean), problem.out_variance = data_of<T>(results.hidden_var);
    problem.spread = spread_before(0);
    Engine::template run<UnchangedMoments, false>(arguments.mean, problem);

    const Tensor weight = sequence.transposed_weight(arguments.weight);
    const Tensor weight_of_var = sequence.transposed_weight(arguments.weight_of_var);
    for (int64_t step = 0; step < duration && sequence.samples[step] > 0; ++step) {
      const int64_t count = sequence.samples[step], at = sequence.at(step, channels), first = place_of(step) * batch;
      const Tensor mean = rows_of(results.preactivation_mean, first, first + count);
      const Tensor var = rows_of(results.preactivation_var, first, first + count);
      copy_rows(results.preactivation_mean, first, first + count, arguments.mean, step * batch);
      copy_rows(results.preactivation_var, first, first + count, arguments.var, step * batch);
      Engine::template product<T>(
          mean, sequence.before(arguments.hidden_mean, results.means, step, count), weight, true);
      Engine::template product<T>(var, rows_of(results.spreads, first, first + count), weight_of_var, true);
      problem = sequence.problem(count);
      problem.mean = data_of<const T>(mean), problem.variance = data_of<const T>(var);
      problem.out_mean = data_of<T>(results.means) + at, problem.out_variance = data_of<T>(results.variances) + at;
      problem.spread = spread_before(step + 1);
      Engine::template run<Formula, false>(arguments.mean, problem);
    }
  }
  copy_last_states(sequence, results.hidden_mean, arguments.hidden_mean, results.means);
  copy_last_states(sequence, results.hidden_var, arguments.hidden_var, results.variances);
  if (!arguments.keeps)
    for (Tensor* tensor : {&results.preactivation_mean, &results.preactivation_var, &results.spreads})
      *tensor = sequence.of_steps(0);
  return results;
}

template <class Engine, class T>
void widen(MomentsSequenceArguments& arguments) {
  for (Tensor* tensor :
       {&arguments.mean, &arguments.var, &arguments.hidden_mean, &arguments.hidden_var, &arguments.weight,
        &arguments.weight_of_var})
    widen<Engine, T>(*tensor);
}

template <class Engine, class Formula, class T>
MomentsSequenceResults moments_sequence_forward(MomentsSequenceArguments arguments) {
  widen<Engine, T>(arguments);
  MomentsSequenceResults results = compute_moments_sequence<Engine, Formula, Computed<Engine, T>>(arguments);
  for (Tensor* tensor :
       {&results.means, &results.variances, &results.hidden_mean, &results.hidden_var, &results.preactivation_mean,
        &results.preactivation_var, &results.spreads})
    narrow<Engine, T>(*tensor);
  return results;
}

}  // namespace fastladder
