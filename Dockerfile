# docker build -t lutier .
# docker run --rm -it -v "$PWD:/work" --user "$(id -u):$(id -g)" lutier demo
FROM python:3.11-slim AS build
COPY . /source
RUN pip install --no-cache-dir hatchling \
    && cd /source \
    && python -m hatchling build -t wheel -d /wheels

FROM python:3.11-slim
# g++ compiles for the runtime torch-compile; the client of OpenSSH reaches ssh:HOST.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ openssh-client \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/constraints.txt
# The build of torch for the CPU alone: the one with CUDA is several gigabytes larger.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --constraint /tmp/constraints.txt \
        --index-url https://download.pytorch.org/whl/cpu torch \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt \
        "$(echo /wheels/lutier-*.whl)[litert,report,search,serve,vision]"
# Whoever runs it: what is kept goes to a folder that everybody may write to.
RUN useradd --create-home lutier && mkdir --mode=1777 /data
ENV LUTIER_HOME=/data HOME=/tmp
USER lutier
WORKDIR /work
ENTRYPOINT ["lutier"]
CMD ["--help"]
