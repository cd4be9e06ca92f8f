"""Encryption of the secrets of subscriptions at rest."""

from __future__ import annotations

import base64
import hashlib
import hmac

from stream_app.errors import OptionsError


class Vault:
    """Encrypts and decrypts texts with a key.

    Parameters
    ----------
    key
        The key: any text of at least 16 bytes.

    Raises
    ------
    OptionsError
        The key is too short.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.fernet import Fernet

        if len(key.strip()) < 16:
            raise OptionsError("alerts.key: the key should have at least 16 bytes")
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.strip()).digest()))
        self._key = key.strip()

    def derived(self, purpose: bytes) -> bytes:
        """A key of 32 bytes for another purpose, from which neither this one nor that of a third follows."""
        return hmac.new(self._key, b"stream-app " + purpose, hashlib.sha256).digest()

    def encrypt(self, text: str) -> str:
        """The text, encrypted and authenticated."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """The text again.

        Raises
        ------
        OptionsError
            It was encrypted with another key, or changed.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(encrypted.encode()).decode()
        except InvalidToken:
            raise OptionsError(
                "alerts.key: the secrets of subscriptions cannot be decrypted; "
                "give the key with which they were encrypted"
            ) from None
