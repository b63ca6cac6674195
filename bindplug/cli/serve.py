import ipaddress
import os
from importlib.util import find_spec

import click

from ..defaults import DETECTOR, GENERATOR
from ..errors import BindplugError, MissingDependency
from ..server.settings import LOCAL, Access, Limits, Models, check_tokens
from . import options as opt
from .output import say

NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}

TOKEN = "BINDPLUG_TOKEN"
MOST = 1e9  # of any limit


def _limit(least: float) -> click.FloatRange:
    return click.FloatRange(least, MOST)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; 0.0.0.0 means all of this machine's.")  # fmt: skip
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535),
              help="0 picks a free port.")  # fmt: skip
@click.option("--detector", default=DETECTOR[0], show_default=True,
              help="Name of a detector, or none.")  # fmt: skip
@click.option("--weights", default=DETECTOR[1], show_default=True, help="Weights of the detector.")
@click.option("--masks", metavar="PLUGIN/NAME", help="What segments the boxes.")
@click.option("--generator", default=GENERATOR[0], show_default=True,
              help="Name of a generator, or none.")  # fmt: skip
@click.option("--generator-weights", default=GENERATOR[1], show_default=True)
@opt.model_option
@opt.dtype_option
@click.option("--batch-size", type=click.IntRange(1),
              help="Most inputs, of all requests, that are encoded together; by default 32, "
              "on a CPU 4.")  # fmt: skip
@click.option("--device", "devices", multiple=True, metavar="DEVICE",
              help="auto (default), cpu, cuda, cuda:1, ... May be repeated: each device gets "
              "all models.")  # fmt: skip
@click.option("--token", "tokens", multiple=True, metavar="TOKEN",
              help="A request must carry one; safer as the variable BINDPLUG_TOKEN.")  # fmt: skip
@click.option("--cors", "origins", multiple=True, metavar="ORIGIN",
              help="Let pages of this origin call, such as https://example.org.")  # fmt: skip
@click.option("--allowed-host", "hosts", multiple=True, metavar="NAME",
              help="Host names to answer to; by default, on a local address, only local "
              "ones.")  # fmt: skip
@click.option("--max-megabytes", default=Limits.megabytes, show_default=True,
              type=_limit(0.001), callback=opt.finite, help="Largest request.")  # fmt: skip
@click.option("--max-megapixels", default=Limits.pixels / 1e6, show_default=True,
              type=_limit(0.001), callback=opt.finite, help="Largest image.")  # fmt: skip
@click.option("--max-seconds", default=Limits.seconds, show_default=True,
              type=_limit(0.1), callback=opt.finite,
              help="Longest sound or video.")  # fmt: skip
@click.option("--queue", default=Limits.requests, show_default=True, type=click.IntRange(1),
              help="Most requests at a time; further ones are told to retry later.")  # fmt: skip
@click.option("--timeout", default=Limits.timeout, show_default=True, type=_limit(0.1),
              callback=opt.finite, help="Seconds for an answer.")  # fmt: skip
@click.option("--keep", default=Limits.keep_seconds, show_default=True, type=_limit(1),
              callback=opt.finite,
              help="Seconds that image features and results are kept.")  # fmt: skip
@click.option("--browser", metavar="FOLDER",
              help="Also serve /browser/, a page on which this exported folder runs in the "
              "browser itself.")  # fmt: skip
def serve(host, port, devices, tokens, origins, hosts, max_megabytes, max_megapixels, max_seconds,
          queue, timeout, keep, browser, split, **models):  # fmt: skip
    """Answer requests over HTTP, and show a page to try it on.

    \b
      bindplug serve
      bindplug serve --generator none --device cuda:0 --device cuda:1
      BINDPLUG_TOKEN=... bindplug serve --host 0.0.0.0
      curl -F images=@image.jpg -F audio=@dog.wav http://127.0.0.1:8000/v1/detect
    """
    for module, name in NEEDED.items():
        if find_spec(module) is None:
            raise MissingDependency(f"serve needs {name}; run: pip install 'bindplug[serve]'")
    from ..server.run import listen, run
    from ..server.server import Server

    if not tokens and TOKEN in os.environ:
        tokens = (os.environ[TOKEN].strip(),)  # empty is refused: a secret is missing
    check_tokens(tokens)
    if browser is not None and tokens:
        raise BindplugError("--browser serves its files without a token; leave out one of the two")
    opt.embedder_settings(models["model"], split)  # refuses --no-split where it means nothing
    local, shown = _is_local(host), f"[{host}]" if ":" in host else host
    access = Access(tuple(tokens), tuple(o.rstrip("/") for o in origins),
                    tuple(h.lower() for h in hosts)
                    or ((*LOCAL, shown.lower()) if local else ()))  # fmt: skip
    limits = Limits(
        megabytes=max_megabytes, held_megabytes=max(Limits.held_megabytes, max_megabytes),
        pixels=int(max_megapixels * 1e6), seconds=max_seconds, requests=queue, timeout=timeout,
        keep_seconds=keep,
    )  # fmt: skip
    bound = listen(host, port)
    with bound:
        if not (local or tokens):
            say("Warning: anyone who can reach this address may send requests; set BINDPLUG_TOKEN")
        say("loading the models")
        server = Server(Models(**models, split=split), tuple(devices) or ("auto",), limits, access,
                        browser)  # fmt: skip
        address = f"http://{shown}:{bound.getsockname()[1]}"
        also = "" if browser is None else f"  {address}/browser/"
        run(server, bound, lambda: say(f"{address}{also}  (Ctrl-C stops)"))
    say("stopped")


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
