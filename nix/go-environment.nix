# What of the user's environment says how Go gets modules: what comes is compared with hashes.
[ "GOPROXY" "GONOSUMDB" "GOSUMDB" "GOPRIVATE" "http_proxy" "https_proxy" "no_proxy" "SSL_CERT_FILE" "NIX_SSL_CERT_FILE" ]
