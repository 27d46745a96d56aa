"""The naive view with a session, whose pool has a connection for every thread."""

from __future__ import annotations

import os

import requests
from flask import Flask, Response, jsonify, request
from requests.adapters import HTTPAdapter

URL = os.environ["UPSTREAM"] + "/contacts/block"

app = Flask(__name__)
session = requests.Session()
session.headers["Authorization"] = "Bearer " + os.environ["TOKEN"]
session.verify = os.environ.get("CA_FILE") or True
session.mount("https://", HTTPAdapter(pool_maxsize=32))
session.mount("http://", HTTPAdapter(pool_maxsize=32))


@app.post("/block")
def block() -> tuple[Response, int]:
    jid = request.get_json()["number"] + "@s.whatsapp.net"
    response = session.post(URL, json={"jid": jid}, timeout=15)
    return jsonify(response.json()), response.status_code
