# JupyterLab with the notebooks, at http://127.0.0.1:8888 with the token that is printed:
#   docker build --target lab --tag uslab-lab .
#   docker run --rm -p 127.0.0.1:8888:8888 -v "$PWD/runs:/uslab/runs" uslab-lab
# The server of a blinded reader study alone, for the study in the folder studies/a:
#   docker build --target study --tag uslab-study .
#   docker run --rm -p 127.0.0.1:8866:8866 -v "$PWD/studies/a:/study" uslab-study
# Versions are those of constraints.txt; torch is its build without CUDA.
FROM python:3.12-slim-bookworm AS core
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PIP_NO_CACHE_DIR=1
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgl1 libglib2.0-0 make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home uslab && mkdir /uslab /study && chown uslab /uslab /study
USER uslab
WORKDIR /uslab

FROM core AS lab
COPY --chown=uslab . .
RUN make setup
EXPOSE 8888
CMD [".venv/bin/jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]

FROM core AS study
ENV PATH=/home/uslab/.local/bin:$PATH
COPY --chown=uslab . .
RUN pip install --user torch==2.13.0 -c constraints.txt && pip install --user '.[study]' -c constraints.txt
EXPOSE 8866
CMD ["uslab", "study", "serve", "/study", "--host", "0.0.0.0"]
