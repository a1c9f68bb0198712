"""What the app gives to handlers that name it as an argument."""

from __future__ import annotations

from litestar.di import NamedDependency

from yizhan.web.access import Person
from yizhan.web.office import Office

GivenOffice = NamedDependency[Office]
GivenPerson = NamedDependency[Person]
