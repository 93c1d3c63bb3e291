// The schema of every operator. Each F has an F_backward: gradients of the outputs, then F's arguments, then what F
// saved for it; it returns a gradient for every tensor among the arguments, empty where the argument is missing or has
// no gradient.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(fastladder, library) {
  library.def(
      "lstm_gates(Tensor[] projections, Tensor cell, Tensor? gain, Tensor? bias, str norm, float eps)"
      " -> (Tensor hidden, Tensor new_cell, Tensor mean, Tensor rstd)");
  library.def(
      "lstm_gates_backward(Tensor? grad_hidden, Tensor? grad_cell, Tensor[] projections, Tensor cell, Tensor? gain,"
      " Tensor? bias, str norm, float eps, Tensor mean, Tensor rstd) -> (Tensor[], Tensor, Tensor, Tensor)");

  library.def(
      "lstm_sequence(Tensor projections, Tensor hidden, Tensor cell, Tensor weight, Tensor? lengths, Tensor? gain,"
      " Tensor? bias, str norm, float eps, bool keeps)"
      " -> (Tensor outputs, Tensor new_hidden, Tensor new_cell, Tensor cells, Tensor hidden_projections, Tensor mean,"
      " Tensor rstd)");
  library.def(
      "lstm_sequence_backward(Tensor? grad_outputs, Tensor? grad_hidden, Tensor? grad_cell, Tensor projections,"
      " Tensor hidden, Tensor cell, Tensor weight, Tensor? lengths, Tensor? gain, Tensor? bias, str norm, float eps,"
      " bool keeps, Tensor outputs, Tensor cells, Tensor hidden_projections, Tensor mean, Tensor rstd)"
      " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "combine_g1(Tensor projection, Tensor lateral, Tensor gate, Tensor content, Tensor? gain, Tensor? bias,"
      " str norm, bool squash_gate, float eps) -> (Tensor y, Tensor mean, Tensor rstd)");
  library.def(
      "combine_g1_backward(Tensor? grad_y, Tensor projection, Tensor lateral, Tensor gate, Tensor content,"
      " Tensor? gain, Tensor? bias, str norm, bool squash_gate, float eps, Tensor mean, Tensor rstd)"
      " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "combine_g2(Tensor top, Tensor lateral, Tensor weights, Tensor? gain, Tensor? bias, str norm, float eps)"
      " -> (Tensor y, Tensor mean, Tensor rstd)");
  library.def(
      "combine_g2_backward(Tensor? grad_y, Tensor top, Tensor lateral, Tensor weights, Tensor? gain, Tensor? bias,"
      " str norm, float eps, Tensor mean, Tensor rstd) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "combine_g3_hidden(Tensor top, Tensor lateral, Tensor? gain, Tensor? bias, str norm, float eps)"
      " -> (Tensor u, Tensor mean, Tensor rstd)");
  library.def(
      "combine_g3_hidden_backward(Tensor? grad_u, Tensor top, Tensor lateral, Tensor? gain, Tensor? bias,"
      " str norm, float eps, Tensor mean, Tensor rstd) -> (Tensor, Tensor, Tensor, Tensor)");

  library.def("combine_g3(Tensor projections) -> Tensor");
  library.def("combine_g3_backward(Tensor? grad_y, Tensor projections) -> Tensor");

  library.def("group_evidence(Tensor noisy, Tensor mean, Tensor mask, Tensor variance, str delta) -> (Tensor, Tensor)");
  library.def(
      "group_evidence_backward(Tensor? grad_delta, Tensor? grad_likelihood, Tensor noisy, Tensor mean, Tensor mask,"
      " Tensor variance, str delta) -> (Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "group_evidence_bernoulli(Tensor noisy, Tensor probability, Tensor mask, float flip_probability)"
      " -> (Tensor, Tensor)");
  library.def(
      "group_evidence_bernoulli_backward(Tensor? grad_delta, Tensor? grad_likelihood, Tensor noisy,"
      " Tensor probability, Tensor mask, float flip_probability) -> (Tensor, Tensor, Tensor)");

  library.def("group_features(Tensor noisy, Tensor mean, Tensor mask, Tensor variance, str delta) -> Tensor");
  library.def(
      "group_features_backward(Tensor? grad_features, Tensor noisy, Tensor mean, Tensor mask, Tensor variance,"
      " str delta) -> (Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "group_features_bernoulli(Tensor noisy, Tensor probability, Tensor mask, float flip_probability) -> Tensor");
  library.def(
      "group_features_bernoulli_backward(Tensor? grad_features, Tensor noisy, Tensor probability, Tensor mask,"
      " float flip_probability) -> (Tensor, Tensor, Tensor)");

  library.def(
      "group_mixture_nll(Tensor target, Tensor mean, Tensor mask_logits, Tensor variance) -> (Tensor nll, Tensor "
      "mask)");
  library.def(
      "group_mixture_nll_backward(Tensor? grad_nll, Tensor? grad_mask, Tensor target, Tensor mean, Tensor mask_logits,"
      " Tensor variance) -> (Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "group_mixture_nll_bernoulli(Tensor target, Tensor logits, Tensor mask_logits) -> (Tensor nll, Tensor mask)");
  library.def(
      "group_mixture_nll_bernoulli_backward(Tensor? grad_nll, Tensor? grad_mask, Tensor target, Tensor logits,"
      " Tensor mask_logits) -> (Tensor, Tensor, Tensor)");

  library.def("tanh_moments(Tensor mean, Tensor var) -> (Tensor, Tensor)");
  library.def(
      "tanh_moments_backward(Tensor? grad_mean, Tensor? grad_var, Tensor mean, Tensor var) -> (Tensor, Tensor)");

  library.def("sigmoid_moments(Tensor mean, Tensor var) -> (Tensor, Tensor)");
  library.def(
      "sigmoid_moments_backward(Tensor? grad_mean, Tensor? grad_var, Tensor mean, Tensor var) -> (Tensor, Tensor)");

  library.def("relu_moments(Tensor mean, Tensor var) -> (Tensor, Tensor)");
  library.def(
      "relu_moments_backward(Tensor? grad_mean, Tensor? grad_var, Tensor mean, Tensor var) -> (Tensor, Tensor)");

  library.def(
      "moments_sequence(Tensor mean, Tensor var, Tensor hidden_mean, Tensor hidden_var, Tensor weight,"
      " Tensor weight_of_var, Tensor rate, Tensor? lengths, str nonlinearity, bool keeps)"
      " -> (Tensor means, Tensor variances, Tensor new_hidden_mean, Tensor new_hidden_var, Tensor preactivation_mean,"
      " Tensor preactivation_var, Tensor spreads)");
  library.def(
      "moments_sequence_backward(Tensor? grad_means, Tensor? grad_variances, Tensor? grad_hidden_mean,"
      " Tensor? grad_hidden_var, Tensor mean, Tensor var, Tensor hidden_mean, Tensor hidden_var, Tensor weight,"
      " Tensor weight_of_var, Tensor rate, Tensor? lengths, str nonlinearity, bool keeps, Tensor means,"
      " Tensor preactivation_mean, Tensor preactivation_var, Tensor spreads)"
      " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");

  library.def("gaussian_merge(Tensor mean_a, Tensor var_a, Tensor mean_b, Tensor var_b) -> (Tensor, Tensor)");
  library.def(
      "gaussian_merge_backward(Tensor? grad_mean, Tensor? grad_var, Tensor mean_a, Tensor var_a, Tensor mean_b,"
      " Tensor var_b) -> (Tensor, Tensor, Tensor, Tensor)");

  library.def("gaussian_kl(Tensor mean_q, Tensor var_q, Tensor mean_p, Tensor var_p) -> Tensor");
  library.def(
      "gaussian_kl_backward(Tensor? grad_kl, Tensor mean_q, Tensor var_q, Tensor mean_p, Tensor var_p)"
      " -> (Tensor, Tensor, Tensor, Tensor)");

  library.def(
      "merge_sample_kl(Tensor mean_d, Tensor var_d, Tensor mean_t, Tensor var_t, Tensor mean_p, Tensor var_p,"
      " Tensor noise) -> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "merge_sample_kl_backward(Tensor? grad_z, Tensor? grad_mean, Tensor? grad_var, Tensor? grad_kl, Tensor mean_d,"
      " Tensor var_d, Tensor mean_t, Tensor var_t, Tensor mean_p, Tensor var_p, Tensor noise)"
      " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");

  library.def("wiener_kl(Tensor mean, Tensor var, bool exact) -> Tensor");
  library.def("wiener_kl_backward(Tensor? grad_kl, Tensor mean, Tensor var, bool exact) -> (Tensor, Tensor)");
}
