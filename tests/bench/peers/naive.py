"""What everybody writes first: a view that calls `requests.post`."""

import os

import requests
from flask import Flask, jsonify, request

URL = os.environ["UPSTREAM"] + "/contacts/block"
HEADERS = {"Authorization": "Bearer " + os.environ["TOKEN"]}
VERIFY = os.environ.get("CA_FILE") or True

app = Flask(__name__)


@app.post("/block")
def block():
    jid = request.get_json()["number"] + "@s.whatsapp.net"
    answer = requests.post(URL, json={"jid": jid}, headers=HEADERS, timeout=15, verify=VERIFY)
    return jsonify(answer.json()), answer.status_code
