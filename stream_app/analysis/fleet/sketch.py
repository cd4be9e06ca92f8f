"""Quantiles of whole numbers in buckets of a fixed relative width, from which values can be taken out again.

The buckets are those of Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees" (VLDB 2019), without their collapsing: values are whole and below 2**63, so that there are
at most 2,200 buckets. A sketch is a function of the values in it, whatever was put in and taken out, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

#: A quantile differs from the true one by this share of it, at most.
RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
#: The bucket of values of 0 and less.
ZERO = -1

#: Bucket -> how many values are in it; a bucket without values is absent.
Buckets = dict[int, int]


def bucket_of(value: int) -> int:
    """The bucket of a value.

    Parameters
    ----------
    value
        A whole number; negative ones count as 0.

    Returns
    -------
    int
        `ZERO`, or k for values above gamma**(k - 1) up to gamma**k.

    Examples
    --------
    >>> bucket_of(0), bucket_of(1), bucket_of(100), bucket_of(103)
    (-1, 0, 231, 232)
    """
    return ZERO if value <= 0 else math.ceil(math.log(value) / _LOG_GAMMA)


def value_of(bucket: int) -> float:
    """The value that stands for a bucket: within `RELATIVE_ERROR` of every value in it."""
    return 0.0 if bucket == ZERO else 2.0 * _GAMMA**bucket / (_GAMMA + 1.0)


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """A quantile of the values in some buckets.

    Parameters
    ----------
    buckets
        The buckets.
    share
        Between 0 and 1: 0.5 for the median.

    Returns
    -------
    float or None
        Within `RELATIVE_ERROR` of the value that has floor(share * (n - 1)) smaller ones before it, of n in order;
        None where there are no values.

    Examples
    --------
    >>> round(quantile({bucket_of(10): 3, bucket_of(1000): 1}, 0.5), 1)
    10.1
    """
    total = sum(buckets.values())
    if not total:
        return None
    rank = math.floor(share * (total - 1))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank < 0:
            return value_of(bucket)
    raise AssertionError("a rank is below the number of values")
