// The schema of every operator. Each F has an F_backward: gradients of the outputs, then F's arguments, then what F
// saved for it; it answers a gradient for every tensor among the arguments, empty where the argument is missing.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(fastladder, library) {
  library.def(
      "lstm_gates(Tensor[] projections, Tensor cell, Tensor? gain, Tensor? bias, str norm, float eps)"
      " -> (Tensor hidden, Tensor new_cell, Tensor mean, Tensor rstd)");
  library.def(
      "lstm_gates_backward(Tensor? grad_hidden, Tensor? grad_cell, Tensor[] projections, Tensor cell, Tensor? gain,"
      " Tensor? bias, str norm, float eps, Tensor mean, Tensor rstd) -> (Tensor[], Tensor, Tensor, Tensor)");

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
}
