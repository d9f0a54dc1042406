"""The web server: connections by uvicorn with deadlines, requests by Django's WSGI application in threads.

A thread is taken once a request has arrived completely and is given back once its answer is made. So clients
that send or read slowly, or never end, hold a socket of the event loop and nothing else.
"""
