import click

from ..defaults import EMBEDDER
from .options import offline_option
from .output import say


@click.command()
@click.argument("model", default=EMBEDDER)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Folder to write.")
@click.option("--modality", "modalities", multiple=True, metavar="MODALITY",
              help="Modality to export; all by default. May be repeated.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
@offline_option
def export(model, output, modalities, overwrite):
    """Write a model's encoders as ONNX, with a dynamic batch size, and a manifest.

    MODEL is the embedder: a name, local:PATH or hf:ORG/REPO. With --model onnx:FOLDER, other
    commands run the export without torch.

    \b
      bindplug export small -o small-onnx
      bindplug export imagebind-huge --modality audio --modality text -o huge-onnx
      bindplug embed --model onnx:small-onnx --audio dog.wav
    """
    from ..models.onnx.export import export_onnx

    manifest = export_onnx(model, output, modalities, overwrite)
    for modality, encoder in manifest.encoders.items():
        size = sum(manifest.files[name]["bytes"] for name in encoder.files) / 1e6
        shape = " x ".join(map(str, encoder.input["shape"]))
        click.echo(
            f"{modality:<8} {shape} {encoder.input['dtype']} -> {manifest.width}  {size:.1f} MB  "
            f"differs by {encoder.largest_difference:.1e}"
        )
    say(f"{manifest.space!r} -> {output}; licence: {manifest.licence or 'see its source'}")
