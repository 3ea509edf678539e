"""Answers Prometheus: `output` takes in scrapes, `exposition` is the text that answers them."""
