"""The methods of a `JobProcessor`, by what they are about; it puts them together."""
