#pragma once

namespace acme_agent::fuzz {

/// A key that protects nothing: that of the accounts and of the certificates in the corpora.
constexpr auto key_pem = R"(
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxfQJ3Gjn2sU3YqEi
9uYhatdQ+7Oo9qlb2JdRhAdo+lyhRANCAARqW2B6MTnL8x0D9xm9vii0RoNO6Ogh
cLWnaHySVH0q6h8wmsT8r3zP7W0Hkjm24Gctb/47MNykcxDtNGpvh7oY
-----END PRIVATE KEY-----
)";

}  // namespace acme_agent::fuzz
