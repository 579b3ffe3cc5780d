"""Tells Pitrix that packages came into, or changed in, a container of Azure Blob Storage.

An Azure Functions app (programming model v2) that a vendor runs in their own subscription, beside the
container that is connected as a repository of the kind ``azure``. It needs no library but Azure's own, keeps
nothing and reads no package: Pitrix fetches what it is told of. A call that fails is made again by Azure's
host, which puts what never succeeds into the queue ``webjobs-blobtrigger-poison``. See README.md for its
settings.
"""

import base64
import json
import logging
import os
import urllib.error
import urllib.request

import azure.functions as func

app = func.FunctionApp()

#: What a repository holds: archives, and the signatures beside them.
PACKAGES = (".tgz", ".tar.gz", ".tgz.prov", ".tar.gz.prov")
TIMEOUT_S = 30


@app.blob_trigger(arg_name="blob", path="%PITRIX_CONTAINER%/{name}", connection="PITRIX_STORAGE")
def on_package_uploaded(blob: func.InputStream) -> None:
    """Ask Pitrix to compare the repository with the container, when what came is a package.

    Raises:
        RuntimeError: Pitrix did not take it; Azure tries again.
    """
    name = blob.name or ""
    if not name.lower().endswith(PACKAGES):
        return
    repo, url = os.environ["PITRIX_REPO"], os.environ["PITRIX_URL"].rstrip("/")
    request = urllib.request.Request(  # noqa: S310 - the address is the owner's setting
        f"{url}/v1/repos/{repo}/actions/index",
        data=b"{}",
        headers={"Authorization": _login(), "Content-Type": "application/json", "User-Agent": "pitrix"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            logging.info("%s: Pitrix answered %s", name, answer.status)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{name}: Pitrix answered {error.code}: {_detail(error)}") from None
    except OSError as error:
        raise RuntimeError(f"{name}: Pitrix does not answer: {error}") from None


def _login() -> str:
    login = f"{os.environ['PITRIX_USERNAME']}:{os.environ['PITRIX_PASSWORD']}"
    return "Basic " + base64.b64encode(login.encode()).decode()


def _detail(error: urllib.error.HTTPError) -> str:
    """What a problem document (RFC 9457) says, in one line."""
    try:
        return str(json.loads(error.read(10_000))["detail"])[:300]
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)
