from django.db import migrations


def convert(apps, schema_editor):
    """A journey's lists become its trigger; it has had no steps, so its first version has none."""
    Journey = apps.get_model('journeys', 'Journey')
    JourneyVersion = apps.get_model('journeys', 'JourneyVersion')
    Enrollment = apps.get_model('journeys', 'Enrollment')
    for journey in Journey.objects.all():
        lists = sorted(journey.lists.values_list('pk', flat=True))
        if lists:
            test = {'kind': 'list', 'operator': 'on', 'lists': lists}
            journey.trigger = {'kind': 'all', 'of': [test]}
        journey.version = JourneyVersion.objects.create(journey=journey, number=1, steps=[])
        journey.save()
        Enrollment.objects.filter(journey=journey).update(version=journey.version)


class Migration(migrations.Migration):

    dependencies = [('journeys', '0002_whole')]

    operations = [migrations.RunPython(convert, migrations.RunPython.noop)]
