"""An authority of the devices' own: client certificates, and the list of those that were revoked."""

from support.tls_files import openssl


class DeviceCa:
    def __init__(self, folder):
        self.folder = folder / "device-ca"
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.certificate, self._key = self.folder / "ca.pem", self.folder / "ca.key"
        self.revocation_list = self.folder / "devices.crl"
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("01\n")
        self._conf = self.folder / "ca.conf"
        self._conf.write_text(f"""
[ca]
default_ca = devices
[devices]
dir = {self.folder}
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
[any]
commonName = supplied
""")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Devices", "-keyout", self._key,
                "-out", self.certificate)
        self.sign_list()

    def issue(self, name):
        """Certificate and key of a device."""
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("ca", "-batch", "-config", self._conf, "-in", request, "-out", certificate, "-notext")
        return certificate, key

    def revoke(self, certificate):
        openssl("ca", "-config", self._conf, "-revoke", certificate)
        self.sign_list()

    def sign_list(self, seconds=30 * 86400):
        """For so long."""
        openssl("ca", "-config", self._conf, "-gencrl", "-crlsec", seconds, "-out", self.revocation_list)
