"""A bundle: the folder that is handed to serving. What it says, how it is loaded, how it is proven.

    manifest.json   what every file is, what the model may be relied on for, and a hash of each file
    model/          a transformers model: config.json, model.safetensors, tokenizer
    onnx/           the same as a graph: model.onnx, and model_int8.onnx where it was asked for
    golden.jsonl    inputs and the answers that every runtime has to give
    README.md       the model card
    model.sig       an OpenSSF model signature, where a key was given

`train.export` makes one, `train.server` serves one.
"""
