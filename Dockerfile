# The page, for hosts elsewhere than on Hugging Face, whose Spaces need no Dockerfile.
FROM python:3.12-slim
# an index that has torch without CUDA, as pip's --index-url takes it; without one torch brings gigabytes of CUDA along
ARG TORCH_INDEX=""
WORKDIR /app
COPY requirements.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" $(grep ^torch requirements.txt); fi \
    && pip install --no-cache-dir -r requirements.txt \
    && useradd --create-home page
COPY app.py LICENSE ./
COPY ganlib ganlib
COPY weights weights
# who may write to a home, where caches are kept, and not to the app
USER page
ENV HOME=/home/page PYTHONUNBUFFERED=1 GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['GRADIO_SERVER_PORT'], timeout=20)"]
CMD ["python", "app.py"]
