"""One attention function for packed rows: chosen by `machine.attention`, installed in a model, fed once a batch."""

from cptlab.training.attention.choice import ATTENTIONS, Choice, check, choose
from cptlab.training.attention.documents import document_mask
from cptlab.training.attention.inputs import document_inputs
from cptlab.training.attention.install import install
from cptlab.training.attention.leaks import refuse_leaking_documents

__all__ = [
    "ATTENTIONS",
    "Choice",
    "check",
    "choose",
    "document_inputs",
    "document_mask",
    "install",
    "refuse_leaking_documents",
]
