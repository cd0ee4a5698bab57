"""What setup.cfg cannot say: configs/ lies beside the package in the repository, and inside it in a wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["scaledis*"]), "scaledis.configs"],
    package_dir={"scaledis.configs": "configs"},
)
