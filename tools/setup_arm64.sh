#!/bin/sh
# Get what tools/verify_arm64.py needs into a folder: QEMU, a Python for ARM64, NumPy and LiteRT for it.
#
#   tools/setup_arm64.sh FOLDER PYTHON
#
# PYTHON is this machine's, with pip. Works on Debian and Ubuntu (there with the package debian-archive-keyring), without
# root: packages of Debian 13 are downloaded and unpacked, nothing is installed. About 110 MB are downloaded.
set -eu

folder=$(mkdir -p "$1" && cd "$1" && pwd)
python=$2
repository=$(cd "$(dirname "$0")/.." && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
for needed in apt-get dpkg-deb; do
    command -v $needed > /dev/null || { echo "error: Expected Debian or Ubuntu: there is no $needed." >&2; exit 1; }
done
[ -f $keyring ] || { echo "error: Expected $keyring, from the package debian-archive-keyring." >&2; exit 1; }

# apt for one architecture, with a state of its own.
apt() {
    architecture=$1
    shift
    state=$folder/apt/$architecture
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/sources"
    : > "$state/status"
    cat > "$state/sources/debian.sources" << END
Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: $keyring
END
    cat > "$state/apt.conf" << END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$state/sources";
END
    APT_CONFIG=$state/apt.conf apt-get --quiet --quiet "$@"
}

here=$(dpkg --print-architecture)
apt "$here" update
(cd "$folder/apt" && apt "$here" download qemu-user && dpkg-deb --extract qemu-user_*.deb qemu)
cp "$folder/apt/qemu/usr/bin/qemu-aarch64" "$folder/qemu-aarch64"

apt arm64 update
apt arm64 install --download-only --yes --no-install-recommends python3 libstdc++6
for package in "$folder"/apt/arm64/archives/*.deb; do
    dpkg-deb --extract "$package" "$folder/root"
done
# Where /lib leads is the business of a package that is not among these.
[ -e "$folder/root/lib" ] || ln -s usr/lib "$folder/root/lib"

version=$(readlink "$folder/root/usr/bin/python3" | sed 's/python//')
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
    --constraint "$repository/constraints.txt" --target "$folder/site-packages" \
    --python-version "$version" --only-binary=:all: \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    numpy ai-edge-litert
rm -rf "$folder/apt"
echo "$folder: QEMU, Python $version for ARM64, NumPy and LiteRT"
