# A directory that the kubelet was asked to make is the host's; what was done in it, in its order.
said=$(tr '\n' ' ' </var/tmp/e2e-notes/order)
rm -r /var/tmp/e2e-notes
same "$said" 'one two main stop term '
