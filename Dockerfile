# A GPU box with teensafe: docker build -t teensafe . && docker run --gpus all -v "$PWD/runs:/teensafe/runs" \
#   teensafe accelerate launch -m train recipes/quickstart.yaml
# torch brings its own CUDA libraries; the host needs only the NVIDIA driver and container toolkit.
FROM python:3.11-slim
RUN useradd --create-home teensafe && mkdir /teensafe && chown teensafe /teensafe
WORKDIR /teensafe
USER teensafe
COPY --chown=teensafe pyproject.toml README.md LICENSE ./
COPY --chown=teensafe scripts scripts
COPY --chown=teensafe train train
RUN scripts/install
COPY --chown=teensafe recipes recipes
ENV PATH=/teensafe/.venv/bin:$PATH
CMD ["teensafe", "--help"]
