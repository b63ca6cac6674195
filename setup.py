from pathlib import Path

from setuptools import find_packages, setup

core = find_packages(include=["bindplug", "bindplug.*"])
plugins = find_packages("plugins")
train = ["peft>=0.17", "webdataset", "tensorboard"]
onnx = ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"]
faiss = ["faiss-cpu>=1.11"]
lancedb = ["lancedb>=0.30"]
mteb = ["mteb>=2.26"]
ray = ["ray[data]>=2.60,<2.64"]  # 2.64 drops an argument of `map_batches` that we need
serve = ["fastapi>=0.115", "starlette>=0.46", "uvicorn>=0.30", "python-multipart>=0.0.18"]
docs = ["mkdocs-material", "mkdocstrings[python]"]

setup(
    name="bindplug",
    version="0.1.0",
    description="Plug ImageBind embeddings in where a text embedding used to go",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={
        "": "plugins",
        "bindplug": "bindplug",
        "bindplug.media": "examples/media",
    },
    packages=[*core, "bindplug.media", *plugins],
    package_data={
        "": ["py.typed"],
        "bindplug.bridge": ["vocabularies/*.txt"],
        "bindplug.models": ["catalogue.json"],
        "bindplug.models.small": ["*.safetensors", "*.json", "*.md", "*.txt"],
        "bindplug.server": ["*.html", "tab/*"],
        "bindplug.media": ["*.wav", "*.png", "*.jpg", "*.csv"],
        "bindplug_detic": ["catalogue.json", "small/*", "small/clip/*"],
        "bindplug_unclip": ["hub.json", "small/*", "small/*/*"],
    },
    install_requires=[
        "torch>=2.4",
        "torchvision",
        "numpy",
        "pillow>=10.1",
        "soundfile",
        "av>=13",
        "filelock",
        "safetensors",
        "click>=8.1",
        "tqdm",
        "timm>=1.0",
        "open_clip_torch",
        "diffusers>=0.38,<1",
        "tokenizers",
        "transformers>=4.50",
        "accelerate",
        "huggingface_hub",
    ],
    extras_require={
        "onnx": onnx,
        "faiss": faiss,
        "lancedb": lancedb,
        "mteb": mteb,
        "ray": ray,
        "serve": serve,
        "train": train,
        "docs": docs,
        "test": [
            "pytest",
            "pycocotools",
            "ruff",
            "mypy",
            "setuptools>=70.1",
            "httpx",
            "playwright",
            "supervision",
            *onnx,
            "pandas",
            "datasets",
            *faiss,
            *lancedb,
            *mteb,
            *ray,
            *serve,
            *train,
            *docs,
        ],
    },
    entry_points={
        "console_scripts": ["bindplug = bindplug.cli:main"],
        "bindplug.embedders": [
            "small = bindplug.models.small:PLUGIN",
            "imagebind-huge = bindplug.models.huge:PLUGIN",
            "small-clip = bindplug_detic.small_clip:PLUGIN",
            "openai-clip-vit-b-32 = bindplug_openclip.plugins:B32",
            "openai-clip-vit-l-14 = bindplug_openclip.plugins:L14",
            "openclip-vit-bigg-14 = bindplug_openclip.plugins:BIGG14",
        ],
        "bindplug.detectors": [
            "detic = bindplug_detic.detector:PLUGIN",
            "owl = bindplug_owl.detector:PLUGIN",
            "gdino = bindplug_gdino.detector:PLUGIN",
        ],
        "bindplug.maskers": ["sam = bindplug_sam.masker:PLUGIN"],
        "bindplug.generators": ["unclip = bindplug_unclip.generator:PLUGIN"],
    },
)
