"""Command lines of ganlib: `python -m train NAME`, and `train.evaluate`, `train.repeat` and `train.ablation`."""
