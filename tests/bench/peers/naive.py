"""The first version that most people write: a view that calls `requests.post`."""

from __future__ import annotations

import os

import requests
from flask import Flask, Response, jsonify, request

URL = os.environ["UPSTREAM"] + "/contacts/block"
HEADERS = {"Authorization": "Bearer " + os.environ["TOKEN"]}
VERIFY = os.environ.get("CA_FILE") or True

app = Flask(__name__)


@app.post("/block")
def block() -> tuple[Response, int]:
    jid = request.get_json()["number"] + "@s.whatsapp.net"
    response = requests.post(URL, json={"jid": jid}, headers=HEADERS, timeout=15, verify=VERIFY)
    return jsonify(response.json()), response.status_code
