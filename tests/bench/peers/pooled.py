"""The naive view with a session, whose pool has a connection for every thread."""

import os

import requests
from flask import Flask, jsonify, request
from requests.adapters import HTTPAdapter

URL = os.environ["UPSTREAM"] + "/contacts/block"

app = Flask(__name__)
session = requests.Session()
session.headers["Authorization"] = "Bearer " + os.environ["TOKEN"]
session.verify = os.environ.get("CA_FILE") or True
session.mount("https://", HTTPAdapter(pool_maxsize=32))
session.mount("http://", HTTPAdapter(pool_maxsize=32))


@app.post("/block")
def block():
    jid = request.get_json()["number"] + "@s.whatsapp.net"
    answer = session.post(URL, json={"jid": jid}, timeout=15)
    return jsonify(answer.json()), answer.status_code
