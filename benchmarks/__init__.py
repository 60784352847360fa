"""Measurements of the product by itself: the demo, restoration speed, bandwidth."""
