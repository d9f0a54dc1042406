import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('journeys', '0003_from_lists')]

    operations = [
        migrations.RemoveField(
            model_name='journey',
            name='lists',
        ),
        migrations.AlterField(
            model_name='enrollment',
            name='version',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.RESTRICT, related_name='enrollments', to='journeys.journeyversion'),
        ),
    ]
