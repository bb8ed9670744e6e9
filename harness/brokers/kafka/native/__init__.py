"""Publishing through librdkafka's C API, a batch a call: at a seventh of what Python objects cost.

``library`` declares the C library that the confluent-kafka wheel carries, ``memory`` reads what it points to, all of a
batch at once, ``publisher`` is the bulk publisher. Where the library is not as declared, the public client is used.
"""
