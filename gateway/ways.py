"""The ways of a lane: which version answers as which arm, and which other one runs beside.

Pure but for the counting of users.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.meters import Evidence
from gateway.model import LoadedModel
from gateway.routing import Lane
from gateway.tensors import Tensor
from prediction_log.record import Arm
from registry_client.signature import Datatype

MOST_LEFT_OUT: Final = 1 << 16
"""More requests than are on their way to a frame."""


class Way(msgspec.Struct, eq=False):
    """What one version answers as one arm under one revision, and the other version that runs beside.

    `share` is a threshold of 2**32. `evidence` is where the shadow's runs count (None: nowhere). `left_out`
    are ids of requests that are not compared, though they look as if they were, the oldest first. `users` are
    the lanes that have it and the requests of theirs that are under way. The last two belong to the event
    loop; nothing else of it ever changes.
    """

    answered: LoadedModel
    beside: LoadedModel
    arm: Arm
    revision: int
    share: int
    evidence: Evidence | None
    left_out: OrderedDict[bytes, None]
    users: int = 0

    @property
    def pair(self) -> tuple[LoadedModel, LoadedModel]:
        """(stable, candidate), whoever of them answered."""
        if self.arm is Arm.CANDIDATE:
            return self.beside, self.answered
        return self.answered, self.beside

    def leave_out(self, identifier: bytes) -> None:
        """Compare this request with nothing; of very many the oldest are forgotten, whose rows were lost."""
        self.left_out[identifier] = None
        if len(self.left_out) > MOST_LEFT_OUT:
            self.left_out.popitem(last=False)

    def met(self, identifiers: Iterable[bytes]) -> None:
        """The rows of these requests have come, and will not come again."""
        for identifier in identifiers:
            self.left_out.pop(identifier, None)

    def hold(self) -> None:
        """A lane has it, or a request of one is under way beyond this turn of the loop."""
        self.users += 1

    def let_go(self) -> None:
        """That is over."""
        self.users -= 1


def ways_of(lane: Lane, shadow: Evidence | None) -> tuple[Way, ...]:
    """The ways of a lane, () where nothing runs beside; what the lane's `shadow` runs count to is evidence.

    A version that runs beside the candidate is the stable one, and is no evidence for anybody.
    """
    if lane.shadow is None or not lane.shadow_share:
        return ()
    revision, share = lane.route.revision, lane.shadow_share
    way = Way(lane.stable, lane.shadow, Arm.STABLE, revision, share, shadow, OrderedDict())
    if lane.candidate is None or not lane.weight:
        return (way,)
    return way, Way(lane.candidate, lane.stable, Arm.CANDIDATE, revision, share, None, OrderedDict())


def comparable(model: LoadedModel) -> bool:
    """Whether all tensors of a version are rows of fixed widths, so that a frame has them as they were."""
    return all(_is_plain(tensor) for tensor in (*model.inputs.values(), *model.outputs))


def _is_plain(tensor: Tensor) -> bool:
    return tensor.batched and tensor.row_shape is not None and tensor.datatype is not Datatype.BYTES
