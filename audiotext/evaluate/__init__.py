"""What a frozen encoder is worth: evaluations, their protocols and results. Importing it fills the registry."""

from audiotext.evaluate import (  # noqa: F401
    captioning,
    causal_lm,
    choice,
    detection,
    probe,
    question,
    retrieval,
    transcription,
    verification,
    zero_shot,
)
from audiotext.evaluate.protocol import EVALUATIONS, Evaluation

__all__ = ["EVALUATIONS", "Evaluation"]
