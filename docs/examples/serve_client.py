"""A server's model from Python: python serve_client.py http://127.0.0.1:8000 OUT_FOLDER PHOTO... (needs httpx)."""

import json
import os
import sys
from pathlib import Path

import httpx

address, out, *photos = sys.argv[1:]
folder, files = Path(out), [Path(photo) for photo in photos]
folder.mkdir(parents=True, exist_ok=True)
token = os.environ.get("SEGBENCH_TOKEN")  # never in an address: those are written into logs
headers = {"Authorization": f"Bearer {token}"} if token else {}


def checked(answer: httpx.Response) -> httpx.Response:
    """Ends with the server's sentence where a request was refused."""
    if answer.is_error:
        sys.exit(f"error: {answer.json()['error']['message']}")
    return answer


with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
    [model, *_] = checked(client.get("/v1/models")).json()["models"]
    print("model", model["name"], "with", ", ".join(each["name"] for each in model["classes"]))

    # One image at once: what it says, then its mask.
    photo = files[0].read_bytes()
    for name, area in checked(client.post("/v1/predict", content=photo)).json()["areas"].items():
        print(f"  {name}: {area['frac']:.1%}")
    mask = checked(client.post("/v1/predict", params={"as": "mask"}, content=photo)).content
    (folder / "mask.png").write_bytes(mask)

    # Many or large ones as a job: send, watch, fetch, delete.
    sent = [("files", (file.name, file.open("rb"))) for file in files]
    job = checked(client.post("/v1/jobs", files=sent, params={"polygons": "geojson"}, timeout=None)).json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events", timeout=None) as events:
        for line in events.iter_lines():
            if line.startswith("data: "):
                state = json.loads(line.removeprefix("data: "))
                print(f"  {state['state']}: {state['done']} of {state['total']}, {state['failed']} failed")
    with (
        client.stream("GET", f"/v1/jobs/{job['id']}/result.zip") as archive,
        (folder / "result.zip").open("wb") as file,
    ):
        for part in archive.iter_bytes():
            file.write(part)
    checked(client.delete(f"/v1/jobs/{job['id']}"))
print("written:", folder / "mask.png", folder / "result.zip")
