for address in $FIRST_ADDRESS $SECOND_ADDRESS; do await 60 answers web $address 30080; done
