"""Text: cleaning, tokenizer, encoder and decoder. Importing the package fills the registries of base.py."""

from audiotext.text import decoder, encoder  # noqa: F401
