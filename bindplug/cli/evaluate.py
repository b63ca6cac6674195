import click

from ..defaults import JUDGE
from ..embedding.options import read_options
from . import options as opt
from .detection_options import detection_options, open_question
from .output import Failures, check_json, put_json

SHARES = ("AP", "AP50", "AP75", "AR", "mIoU", "F")  # figures without an interval


@click.group()
def evaluate():
    """Measure classification, retrieval, detection and segmentation on labelled files."""


@evaluate.command()
@click.argument("data", metavar="DIR|CSV")
@opt.modality_option("Modality of the files.", default="audio")
@click.option("--labels", cls=opt.Once, metavar="A,B,...|FILE", help="What the classes are called.")
@opt.template_option
@click.option("--fold", help="Only this fold of the data.")
@opt.json_options
@opt.embedder_options
def classify(data, modality, labels, templates, fold, json_file, overwrite, transform_options,
             **loading):  # fmt: skip
    """Emergent zero-shot classification (the paper's Table 2): top-1, top-5 and mAP.

    The data are a folder with one folder per class, or a CSV with the columns filename and
    category, or a folder that holds such a CSV, as ESC-50 does.

    \b
      bindplug evaluate classify ESC-50-master --model imagebind-huge
    """
    from ..evaluation.zero_shot import evaluate_classes

    own = read_options(transform_options, [modality])
    check_json(json_file, overwrite, [data, labels])
    figures, errors = evaluate_classes(
        opt.open_embedder(**loading), data, modality, labels, templates or None, fold, own,
        progress=True,
    )  # fmt: skip
    _report(figures, errors, Failures(), json_file, overwrite)


@evaluate.command()
@click.argument("data", metavar="CSV")
@click.option("--query", default="audio", show_default=True, callback=opt.a_modality,
              metavar="MODALITY", help="Modality of the queries.")  # fmt: skip
@click.option("--target", default="text", show_default=True, callback=opt.a_modality,
              metavar="MODALITY", help="Modality of what is retrieved.")  # fmt: skip
@opt.json_options
@opt.embedder_options
def retrieve(data, query, target, json_file, overwrite, transform_options, **loading):
    """Retrieval between two modalities, both ways: R@1, R@5 and R@10.

    CSV has one column for each modality. Entries on the same line belong together; equal entries
    on several lines are one item.

    \b
      bindplug evaluate retrieve pairs.csv --query audio --target text
    """
    from ..evaluation.zero_shot import evaluate_pairs

    own = read_options(transform_options, [query, target])
    check_json(json_file, overwrite, [data])
    embedder = opt.open_embedder(**loading)
    figures, errors = evaluate_pairs(embedder, data, query, target, own, progress=True)
    _report(figures, errors, Failures(), json_file, overwrite)


@evaluate.command()
@click.argument("annotations", metavar="COCO.json")
@click.option(
    "--images",
    cls=opt.Once,
    metavar="DIR",
    help="Folder of the images; by default that of the JSON.",
)
@click.option(
    "--sounds", cls=opt.Once, metavar="DIR", help="Folder with a sound named after each category."
)
@opt.json_options
@detection_options
def detect(annotations, images, sounds, json_file, overwrite, **question):
    """Detection by sound: AP, AP50, AP75 and AR of the boxes, by pycocotools.

    The sound of a category is its field `sound` in the JSON, or the file in --sounds with its
    name. All scores count, so --threshold and --top-k have no effect.

    \b
      bindplug evaluate detect val.json --images images --sounds sounds
    """
    from ..evaluation.boxes import evaluate_boxes

    check_json(json_file, overwrite, [annotations])
    failures = Failures()
    *models, asked = open_question(failures, {}, **question)
    del asked["threshold"], asked["top_k"]
    figures, errors = evaluate_boxes(*models, annotations, images, sounds, progress=True, **asked)
    _report(figures, errors, failures, json_file, overwrite)


@evaluate.command()
@click.argument("root", metavar="DIR")
@click.option("--subset", default="test", show_default=True, help="Split of the data.")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0),
              callback=opt.finite,
              help="Length of sound around each frame; 0 takes the whole sound.")  # fmt: skip
@opt.json_options
@detection_options
def avs(root, subset, seconds, json_file, overwrite, **question):
    """Segmentation of what sounds, on AVSBench's layout: mIoU and F (beta^2 = 0.3).

    DIR is s4_data or ms3_data, with gt_masks, visual_frames and audio_wav.

    \b
      bindplug evaluate avs Single-source/s4_data --model imagebind-huge --weights detic-swinb
    """
    from ..evaluation.avs import evaluate_avs

    check_json(json_file, overwrite, [])
    failures = Failures()
    *models, asked = open_question(failures, {}, **question)
    figures, errors = evaluate_avs(*models, root, subset, seconds or None, progress=True, **asked)
    _report(figures, errors, failures, json_file, overwrite)


@evaluate.command()
@click.argument("data", metavar="DIR|CSV")
@click.option(
    "--judge", default=JUDGE, show_default=True, help="What classifies and compares the images."
)
@click.option(
    "--references", cls=opt.Once, metavar="DIR|CSV", help="Real images of the same classes."
)
@click.option("--sounds", cls=opt.Once, metavar="DIR|CSV", help="Sounds of the same classes.")
@click.option("--labels", cls=opt.Once, metavar="A,B,...|FILE", help="What the classes are called.")
@opt.template_option
@click.option("--circular", is_flag=True, help="Let the model that conditioned the images judge.")
@opt.json_options
@opt.device_option
def generate(data, judge, references, sounds, labels, templates, circular, json_file, overwrite,
             device):  # fmt: skip
    """Generated images: accuracy, similarity to images and sounds, diversity.

    The images are given by class, as for `evaluate classify`. The judge must be another model than
    the one that conditioned them.

    \b
      bindplug evaluate generate generated/ --judge openai-clip-vit-b-32 --references real/
    """
    from ..evaluation.images import evaluate_images
    from ..models.load import load_embedder

    check_json(json_file, overwrite, [data, references, sounds, labels])
    figures, errors = evaluate_images(
        load_embedder(judge, device), data, references, sounds, labels, templates or None,
        circular, progress=True, judge_name=judge,
    )  # fmt: skip
    _report(figures, errors, Failures(), json_file, overwrite)


def _report(figures: dict, errors: list, failures: Failures, json_file, overwrite) -> None:
    failures.add(*errors)
    if json_file != "-":
        for name, value in figures.items():
            if isinstance(value, dict) and value["value"] is not None:
                value = f"{value['value']:.2%}  ({value['low']:.2%} to {value['high']:.2%})"
            elif value is None or isinstance(value, dict):
                value = "undefined"
            elif name in SHARES:
                value = f"{value:.2%}"
            click.echo(f"{name:<24} {value}")
    put_json(json_file, figures, overwrite)
    failures.finish()
