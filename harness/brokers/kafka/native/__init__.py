"""Publishing and receiving through librdkafka's C API, a batch a call: no Python object for any message.

``library`` declares the C library that the confluent-kafka wheel carries, ``memory`` reads what it points to, all of a
batch at once; ``publisher`` and ``subscriber`` are the engines' clients, the latter over ``consumer``. Where the
library is not as declared, or messages have headers, the public client is used.
"""
