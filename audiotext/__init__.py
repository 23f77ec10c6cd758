"""audiotext: learn general-purpose audio representations from captions."""

__version__ = "0.1.0"
