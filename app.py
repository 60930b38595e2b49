"""The page, as a Hugging Face Space or on this machine: python app.py"""

from ganlib.demo import build, launch

demo = build()

if __name__ == "__main__":
    launch(demo)
