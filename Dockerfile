# The page, for hosts elsewhere than on Hugging Face, whose Spaces need no Dockerfile.
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt ./
# by uv, which knows where PyTorch keeps its wheels without CUDA: with it they are gigabytes larger
RUN pip install --no-cache-dir "uv>=0.13,<0.14" \
    && uv pip install --system --no-cache --compile-bytecode --torch-backend cpu -r requirements.txt \
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
