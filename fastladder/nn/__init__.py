"""Modules to drop into any model: recurrent cells and layers, fast dropout, decoder cells, TAG around any network."""

from fastladder.nn.batch_norm import StepBatchNorm
from fastladder.nn.batch_statistics import synchronize_batch_norm, update_batch_norm
from fastladder.nn.conv_g2 import ConvG2
from fastladder.nn.conv_g3 import ConvG3
from fastladder.nn.conv_gru_cell import ConvGRUCell
from fastladder.nn.conv_lstm import ConvLSTM
from fastladder.nn.conv_lstm_cell import ConvLSTMCell
from fastladder.nn.fast_dropout_linear import FastDropoutLinear
from fastladder.nn.fast_dropout_rnn import FastDropoutRNN
from fastladder.nn.g1 import G1, ConvG1
from fastladder.nn.ladder_combinator import LadderCombinator
from fastladder.nn.lstm import LSTM
from fastladder.nn.lstm_cell import LSTMCell
from fastladder.nn.mean_teacher import MeanTeacher
from fastladder.nn.tag import Tag, TagOptions, TagOutput

__all__ = [
    "G1",
    "LSTM",
    "ConvG1",
    "ConvG2",
    "ConvG3",
    "ConvGRUCell",
    "ConvLSTM",
    "ConvLSTMCell",
    "FastDropoutLinear",
    "FastDropoutRNN",
    "LSTMCell",
    "LadderCombinator",
    "MeanTeacher",
    "StepBatchNorm",
    "Tag",
    "TagOptions",
    "TagOutput",
    "synchronize_batch_norm",
    "update_batch_norm",
]
