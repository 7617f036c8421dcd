"""Serves a GGUF model with llama.cpp's own HTTP server, which the xllamacpp wheel carries.

usage: serve.py MODEL ADDRESS_FILE

Listens on a free port of 127.0.0.1 and writes its address, one line, into ADDRESS_FILE. Ends
when it is ended, or when the process that started it is gone.
"""

import os
import sys
import time

import xllamacpp

SLOTS = 2
CONTEXT = 16384  # Shared by the slots.
BATCH = 128
PING_SECONDS = 1


def parameters(model):
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"random"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # The kernel chooses: no other process can take it in between.

    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT
    # The server looks for a cancel only between batches: with its default of 2048 one during
    # a long prompt waits for many seconds.
    params.n_batch = BATCH
    params.n_ubatch = BATCH
    params.n_gpu_layers = 0
    # One core for the server, the others for what is tested against it.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False

    # Comment lines (":") in the stream while a prompt is read.
    params.sse_ping_interval = PING_SECONDS
    # The witnesses a test asks: which slots work, how many tokens were made.
    params.endpoint_slots = True
    params.endpoint_metrics = True
    return params


def main():
    parent = os.getppid()
    model, address_file = sys.argv[1:]
    server = xllamacpp.Server(parameters(model))
    with open(address_file + ".part", "w") as file:
        print(server.listening_address, file=file)
    os.replace(file.name, address_file)

    # A parent that was killed could not end this process: it has to notice by itself.
    while os.getppid() == parent:
        time.sleep(0.5)
    # Not `sys.exit`: nothing is worth saving, and a busy slot would hold up an orderly end.
    os._exit(1)


if __name__ == "__main__":
    main()
