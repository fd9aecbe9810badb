"""The version of the package, as code can say it without reading any metadata."""

VERSION = "0.1.0"
