await 60 answers web 198.51.100.7 8090
